// Bundles the page and writes it as C++; see web.cmake.
//   node build.mjs SOURCE MODULES OUTPUT.cpp [DIST]
// MODULES has the node_modules of package.json. With DIST the files are left there too, as they are.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const [source, modules, output, dist] = process.argv.slice(2);
const esbuild = createRequire(join(modules, 'package.json'))('esbuild');

async function bundled(entry, options) {
  const result = await esbuild.build({
    entryPoints: [join(source, entry)], bundle: true, minify: true, write: false, target: 'es2022', charset: 'utf8',
    legalComments: 'inline', logLevel: 'warning', nodePaths: [join(modules, 'node_modules')], ...options,
  });
  return Buffer.from(result.outputFiles[0].contents);
}

const html = readFileSync(join(source, 'index.html'));
const files = [
  ['/', 'text/html; charset=utf-8', html],
  ['/app.js', 'text/javascript; charset=utf-8',
    await bundled('src/main.tsx', { format: 'iife', jsx: 'automatic', jsxImportSource: 'preact' })],
  ['/app.css', 'text/css; charset=utf-8', await bundled('src/app.css', {})],
  ['/icon.svg', 'image/svg+xml', readFileSync(join(source, 'icon.svg'))],
];

// A string literal in lines of moderate length; octal where a byte would end or change the literal.
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 2048) {
    let line = '';
    for (const byte of bytes.subarray(at, at + 2048)) {
      const plain = byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 && byte !== 63;
      line += plain ? String.fromCharCode(byte) : '\\' + byte.toString(8).padStart(3, '0');
    }
    lines.push(`    "${line}"`);
  }
  return lines.join('\n');
}

let text = '// Made by tools/serve/web/build.mjs.\n#include "tools/serve/web/files.h"\n\nnamespace sluice::serve {\nnamespace {\n';
let entries = '';
files.forEach(([path, type, bytes], i) => {
  // Level 9 without a time stamp: the same bytes from the same sources.
  const packed = gzipSync(bytes, { level: 9 });
  packed[9] = 255;  // the operating system, which is of no interest
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 20);
  text += `constexpr char kFile${i}[] =\n${literal(packed)};\n`;
  entries += `    {"${path}", {"${type}", "\\"${hash}\\"", {kFile${i}, sizeof(kFile${i}) - 1}}},\n`;
  console.log(`${path} ${bytes.length} bytes, ${packed.length} compressed`);
  if (dist) {
    mkdirSync(dist, { recursive: true });
    writeFileSync(join(dist, path === '/' ? 'index.html' : path.slice(1)), bytes);
  }
});
text += `constexpr WebFile kFiles[] = {\n${entries}};\n}  // namespace\n\n`;
text += 'std::span<const WebFile> WebFiles() { return kFiles; }\n\n}  // namespace sluice::serve\n';
writeFileSync(output, text);
