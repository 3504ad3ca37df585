// A stock socket.io-client, as a front end uses it: connects, writes down all that it is told, one JSON line each.
// Started by tests/e2e/clients/javascript.py with its options as one JSON argument:
// {base, auth, transports, ends: how many runs to await, idle: milliseconds of silence after which it leaves}
import { io } from "socket.io-client";

const options = JSON.parse(process.argv[2]);
const say = (name, payload) => console.log(JSON.stringify([name, payload]));
const socket = io(options.base, { auth: options.auth, transports: options.transports, reconnection: false });
let ends = 0;
let silence;

function leave() {
  clearTimeout(silence);
  socket.disconnect();
}

function heard() {
  clearTimeout(silence);
  if (options.idle) silence = setTimeout(leave, options.idle);
}

socket.on("connect", () => {
  say("connect", { transport: socket.io.engine.transport.name });
  heard();
});
socket.on("connect_error", (error) => {
  say("connect_error", { message: error.message, data: error.data ?? null });
  leave();
});
socket.on("disconnect", (reason) => say("disconnect", { reason }));
socket.onAny((name, payload) => {
  say(name, payload);
  heard();
  if (name === "progress_update" && payload.event === "ANALYSIS_COMPLETE" && ++ends === options.ends) leave();
});
