// tests/compat/programs/allocate.js -- objects, buffers, workers, JSON, zlib.
"use strict";
const { Worker, isMainThread, parentPort, workerData } =
  require("worker_threads");
const zlib = require("zlib");
const crypto = require("crypto");

function churn(seed, rounds) {
  const map = new Map();
  const buffers = [];
  let x = seed >>> 0, sum = 0;
  for (let i = 0; i < rounds; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    map.set(x % 5000, { text: "v".repeat(x % 200), list: [x, i] });
    const buffer = Buffer.alloc((x >>> 8) % 20000, x & 255);
    sum = (sum + buffer.length) >>> 0;
    buffers.push(buffer);
    if (buffers.length > 300) buffers.shift();
  }
  const text = JSON.stringify([...map].sort((a, b) => a[0] - b[0]));
  const packed = zlib.gzipSync(Buffer.concat(buffers));
  const again = zlib.gunzipSync(packed);
  const hash = crypto.createHash("sha256").update(text).update(again);
  return `${sum} ${JSON.parse(text).length} ${hash.digest("hex")}`;
}

if (isMainThread) {
  console.log(churn(1, 40000));
  let waiting = 4;
  const results = [];
  for (let n = 0; n < waiting; n++) {
    const worker = new Worker(__filename, { workerData: n + 2 });
    worker.on("message", (text) => { results[n] = text; });
    worker.on("error", (error) => { throw error; });
    worker.on("exit", () => { if (--waiting === 0) finish(results); });
  }
} else {
  parentPort.postMessage(churn(workerData, 8000));
}

function finish(results) {
  console.log(results.join("\n"));
  const jobs = [];
  for (let n = 0; n < 20; n++)
    jobs.push(new Promise((resolve, reject) =>
      zlib.deflate(Buffer.alloc(500000, n), (error, data) =>
        error ? reject(error) : resolve(data.length))));
  Promise.all(jobs).then((sizes) => console.log(sizes.join(" ")));
}
