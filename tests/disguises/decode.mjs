// Everything that postal-mime hands out of the files named on standard input: a line "FILE LENGTH" and then the bytes.
// Run where the package is installed (its folder as the only argument).
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync, writeSync } from "node:fs";

const require = createRequire(process.argv[2] + "/");
const { default: PostalMime } = await import(pathToFileURL(require.resolve("postal-mime")).href);

function put(bytes) {
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

for await (const file of createInterface({ input: process.stdin })) {
    try {
        const mail = await PostalMime.parse(readFileSync(file), { forceRfc822Attachments: false });
        const found = mail.attachments.map((part) => Buffer.from(part.content));
        for (const text of [mail.text, mail.html]) if (text) found.push(Buffer.from(text));
        for (const bytes of found) {
            put(Buffer.from(`${file} ${bytes.length}\n`));
            put(bytes);
        }
    } catch {
        // What it cannot read it does not prove.
    }
}
