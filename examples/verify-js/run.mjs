// Runs the verifier of index.html without a browser: node run.mjs CASES.json, where CASES.json is a list of
// {name, report, ledger, operator, older}; prints a list of {name, overall, reason, steps}.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";

const page = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "index.html"), "utf8");
const script = page.slice(page.indexOf("<script>") + 8, page.indexOf("</script>"));
const verifier = new Function(script + "\nreturn Verifier;")();
const out = [];
for (const c of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const result = await verifier.verify(c.report, c.ledger ?? null, c.operator ?? null, c.older ?? []);
  out.push({ name: c.name, overall: result.overall, reason: result.reason, steps: result.steps });
}
console.log(JSON.stringify(out));
