set -e
cat >/etc/rabbitmq/rabbitmq.conf <<END
listeners.tcp.default = 5672
loopback_users = none
default_user = ${RABBITMQ_DEFAULT_USER:-guest}
default_pass = ${RABBITMQ_DEFAULT_PASS:-guest}
log.console = true
END
exec "$@"
