-- One schema a mode; the applications make their tables themselves.
CREATE DATABASE IF NOT EXISTS shop_resilient;
GRANT ALL ON shop_fragile.* TO 'shop'@'%';
GRANT ALL ON shop_resilient.* TO 'shop'@'%';
