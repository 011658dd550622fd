// How an application is pointed at a proxy, by protocol: [what, text].
const AT = {
  redis: (to) => [["Redis URL", `redis://${to}/0`]],
  memcached: (to) => [["memcached server", to]],
  mysql: (to) => [["MySQL URL", `mysql://USER:PASSWORD@${to}/DATABASE`]],
  postgresql: (to) => [["PostgreSQL URL", `postgresql://USER:PASSWORD@${to}/DATABASE`]],
  http: (to) => [["Base URL", `http://${to}`]],
  smtp: (to) => [["SMTP server", to]],
  dns: (to) => [["Name server", to]],
};
export const pointers = (protocol, to) => (AT[protocol] ?? ((where) => [["Address", where]]))(to.startsWith("unix:") ? to : to.replace(/^0\.0\.0\.0:/, `${location.hostname}:`).replace(/^\[::\]:/, `${location.hostname}:`));
/** Usual ports of what stands behind. */
export const PORTS = { redis: 6379, memcached: 11211, mysql: 3306, postgresql: 5432, http: 80, smtp: 25, dns: 53, tcp: 0, udp: 0 };
