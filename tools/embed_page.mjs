// Bundles a page into one HTML document and writes it as a C++ function that returns it; see embed_page.cmake.
//   node embed_page.mjs FOLDER MODULES FUNCTION OUTPUT
// FOLDER has page.html, page.js and, if wanted, page.css. In page.html `<!-- page.css -->` and `<!-- page.js -->`
// give way to the bundles, and `script-hash` in a Content-Security-Policy to the hash of the script. A file
// imported as "NAME?text" is a string.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [folder, modules, cppFunction, output] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const esbuild = require('esbuild');

const asText = {
  name: 'text',
  setup(build) {
    build.onResolve({ filter: /\?text$/ }, (args) => ({ path: require.resolve(args.path.slice(0, -5)), namespace: 'text' }));
    build.onLoad({ filter: /.*/, namespace: 'text' }, (args) => ({ contents: readFileSync(args.path), loader: 'text' }));
  },
};

async function bundled(name) {
  const entry = join(folder, name);
  if (!existsSync(entry)) return '';
  const result = await esbuild.build({
    entryPoints: [entry], bundle: true, minify: true, write: false, format: 'iife', target: 'es2020', charset: 'utf8',
    legalComments: 'inline', logLevel: 'warning', nodePaths: [join(modules, 'node_modules')], plugins: [asText],
  });
  return result.outputFiles[0].text;
}

// A string literal in lines of moderate length. Bytes beyond ASCII and those that would end or change the literal are
// octal.
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 4096) {
    let line = '';
    for (const byte of bytes.subarray(at, at + 4096)) {
      const plain = byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 && byte !== 63;
      line += plain ? String.fromCharCode(byte) : '\\' + byte.toString(8).padStart(3, '0');
    }
    lines.push(`    "${line}"`);
  }
  return lines.join('\n');
}

const script = await bundled('page.js');
const style = await bundled('page.css');
if (/<\/script|<!--/i.test(script)) throw new Error(`${folder}/page.js: the bundle would end its own script element`);
const hash = createHash('sha256').update(script).digest('base64');
// By functions: a replacement string would have "$&" and the like expanded.
const html = readFileSync(join(folder, 'page.html'), 'utf8')
  .replace('<!-- page.css -->', () => `<style>${style}</style>`)
  .replace('script-hash', () => `'sha256-${hash}'`)
  .replace('<!-- page.js -->', () => `<script>${script}</script>`);
const bytes = Buffer.from(html);
const [, namespace, name] = cppFunction.match(/^(.*)::(\w+)$/);
writeFileSync(output, `// Made by tools/embed_page.mjs.
#include <string_view>

namespace ${namespace} {

std::string_view ${name}();

std::string_view ${name}() {
  static constexpr char kPage[] =
${literal(bytes)};
  return {kPage, sizeof(kPage) - 1};
}

}  // namespace ${namespace}
`);
