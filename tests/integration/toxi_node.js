// Drives a server through toxiproxy-node-client and says what plain sockets saw, as JSON.
// node toxi_node.js URL PORT        PORT: a server on 127.0.0.1 that says everything back

const net = require("net");
const { Toxiproxy } = require("toxiproxy-node-client");

const [url, port] = process.argv.slice(2);
const LATE = 250;

// Sends bytes and waits for as many, or for the end; then for a FIN of our own to be answered.
function say(listen, count, fin = false) {
  return new Promise((resolve) => {
    const began = Date.now();
    const socket = net.connect({ host: "127.0.0.1", port: Number(listen.split(":").pop()), allowHalfOpen: true });
    let bytes = 0;
    const done = (end) => {
      socket.destroy();
      resolve({ bytes, end, late: Date.now() - began >= LATE });
    };
    socket.on("data", (data) => {
      bytes += data.length;
      if (bytes < count) return;
      if (fin) socket.end();
      else done("open");
    });
    socket.on("end", () => done("FIN"));
    socket.on("error", (error) => done(error.code));
    socket.write(Buffer.alloc(count));
  });
}

const failure = (promise) => promise.then(() => "nothing", (error) => error.message);

async function main() {
  const toxiproxy = new Toxiproxy(url);
  const seen = { version: await toxiproxy.getVersion() };
  const body = { name: "echo", listen: "127.0.0.1:0", upstream: `127.0.0.1:${port}` };
  let proxy = await toxiproxy.createProxy(body);
  seen.names = Object.keys(await toxiproxy.getAll());
  seen.again = await failure(toxiproxy.createProxy(body));
  seen.plain = await say(proxy.listen, 5);

  proxy = await proxy.update({ enabled: false, listen: proxy.listen, upstream: proxy.upstream });
  seen.down = (await say(proxy.listen, 5)).end;
  proxy = await proxy.update({ enabled: true, listen: proxy.listen, upstream: proxy.upstream });

  const latency = await proxy.addToxic({ type: "latency", attributes: { latency: 100, jitter: 0 } });
  const updated = await latency.update({ attributes: { latency: 350 } });
  seen.updated = (await proxy.getToxic(updated.name)).attributes;
  seen.latency = await say(proxy.listen, 5);
  await updated.remove();

  const toxics = [
    [{ type: "bandwidth", attributes: { rate: 10 } }, 4000],
    [{ type: "slicer", attributes: { average_size: 2, size_variation: 0, delay: 150000 } }, 6],
    [{ type: "timeout", attributes: { timeout: 300 } }, 5],
    [{ type: "limit_data", attributes: { bytes: 3 } }, 5],
    [{ type: "reset_peer", attributes: { timeout: 300 } }, 5],
    [{ type: "slow_close", attributes: { delay: 300 } }, 5, true],
    [{ type: "noop", stream: "upstream", attributes: {} }, 5],
  ];
  for (const [data, count, fin] of toxics) {
    const toxic = await proxy.addToxic({ name: "one", stream: "downstream", toxicity: 1, ...data });
    seen[data.type] = await say(proxy.listen, count, fin);
    await toxic.remove();
  }

  seen.refused = {
    nonsense: await failure(proxy.addToxic({ type: "nonsense", attributes: {} })),
    slicer: await failure(proxy.addToxic({ type: "slicer", attributes: {} })),
    nobody: await failure(proxy.getToxic("nobody")),
  };
  await proxy.addToxic({ type: "timeout", attributes: { timeout: 0 } });
  await toxiproxy.reset();
  const populated = await toxiproxy.populate([
    { ...body, listen: proxy.listen },
    { ...body, name: "second" },
  ]);
  seen.populated = Object.keys(populated);
  for (const one of Object.values(await toxiproxy.getAll())) {
    await one.remove();
  }
  seen.left = await toxiproxy.getAll();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
