// Runs a Go program built with -tags tuttisimd in Node.js: what Go's
// wasm_exec_node.js does, with the side module beside the program.
"use strict";

const fs = require("fs");
const path = require("path");
const lib = path.join(process.env.GOROOT, "lib", "wasm");

Object.assign(globalThis, { require, fs, path });
require(path.join(lib, "wasm_exec.js"));
require("./simd.js");

const go = new Go();
go.argv = process.argv.slice(2);
go.env = { TMPDIR: require("os").tmpdir(), ...process.env };
go.exit = process.exit;

(async () => {
	const want = process.env.TUTTI_SIMD; // fused, plain or portable; default: what there is
	if (want === "fused") {
		require("v8").setFlagsFromString("--experimental-wasm-relaxed-simd"); // before Node.js 21
	}
	const got = await tuttiSIMD(go, want && { allow: want === "portable" ? [] : [want] });
	if (want ? got !== want : got === "portable") {
		throw new Error(`the side module is ${got}`);
	}
	const { instance } = await WebAssembly.instantiate(fs.readFileSync(process.argv[2]), go.importObject);
	process.on("exit", (code) => { // Node.js exits if no event is pending
		if (code === 0 && !go.exited) {
			go._pendingEvent = { id: 0 }; // deadlock: have Go print its stacks
			go._resume();
		}
	});
	await go.run(instance);
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
