// Makes client.js, which is served, from src/client.js, which is read. Without packages: it knows just enough of the
// language for that one file. Comments and spaces go, and variables get short names.
//   node minify.mjs           writes client.js
//   node minify.mjs --check   says whether it is current
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const TOKEN =
  /(?<space>(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)+)|(?<string>"(?:\\.|[^"\\])*")|(?<word>[A-Za-z_$][\w$]*)|(?<number>\d\w*)|(?<mark>=>|\.\.\.|\?\.|\?\?=?|&&|\|\||[=!]==?|<=|<<|\*\*|\+\+|\+=|[^\s])/y;
// After these a slash begins a regular expression.
const BEFORE_REGEX = new Set(["(", ",", "=", ":", "?", "[", "!", "&&", "||", "=>", "{", "}", ";", "return"]);
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n[])+\/[a-z]*/y;

function tokens(source) {
  const found = [];
  for (let at = 0; at < source.length; ) {
    const last = found.at(-1)?.text;
    let match, kind;
    const comment = source.startsWith("//", at) || source.startsWith("/*", at);
    if (source[at] == "/" && !comment && BEFORE_REGEX.has(last)) {
      REGEX.lastIndex = at;
      match = REGEX.exec(source);
      kind = "regex";
    } else {
      TOKEN.lastIndex = at;
      match = TOKEN.exec(source);
      kind = Object.keys(match.groups).find((name) => match.groups[name] != null);
    }
    if (match[0] == "`") throw new Error("the source has no template strings: this script does not read them");
    if (kind != "space") found.push({ kind, text: match[0] });
    at += match[0].length;
  }
  return found;
}

// Whether a word is the name of a member: after a dot, or a key of an object. Marks short keys (`{a}`), which become `{a:b}`.
function mark(list) {
  const open = [];
  let exported = false;
  list.forEach((token, index) => {
    const before = list[index - 1]?.text;
    const after = list[index + 1]?.text;
    if ("([{".includes(token.text) && token.kind == "mark") {
      exported = before == "export";
      const block = token.text == "{" && (/^(\)|=>|;|\{|\}|else|try|finally|do)$/.test(before ?? ";") || list[index - 2]?.text == "extends");
      open.push(token.text == "{" ? (block ? "block" : "object") : token.text);
    } else if (")]}".includes(token.text) && token.kind == "mark") open.pop();
    if (token.kind != "word") return;
    const key = open.at(-1) == "object" && (before == "{" || before == ",");
    token.member = before == "." || before == "?." || (key && (after == ":" || after == "("));
    token.exported = exported;
    token.short = (key || exported) && !token.member && [",", "}", "="].includes(after);
    if (before == "get" && after == "(") token.member = true;
  });
}

// Words that are no variables of the file.
const KNOWN = new Set(
  `export class extends constructor super this Object const let async await function return new if else for of while continue
  try catch finally throw typeof void yield null true false get crypto Uint8Array Promise performance setTimeout clearTimeout
  Math TextDecoder parseFloat isNaN Date JSON fetch AbortController globalThis Error instanceof`.split(/\s+/),
);

// Gives each variable the area it belongs to: the file, a statement of the file, or a statement within that.
function areas(list) {
  const open = [];
  let [outer, inner, pattern] = [0, 0, null];
  const level = new Map();
  const variable = (token) => token.kind == "word" && !token.member && !KNOWN.has(token.text);
  list.forEach((token, index) => {
    if (token.kind == "mark" && ")]}".includes(token.text)) open.pop();
    if (pattern != null && open.length <= pattern) pattern = null;
    if (token.kind == "mark" && "([{".includes(token.text)) {
      if (token.text == "{" && /^(const|let)$/.test(list[index - 1]?.text)) pattern ??= open.length;
      open.push(token.text);
    }
    const depth = pattern ?? open.length;
    [token.outer, token.inner] = [outer, inner];
    if (variable(token)) {
      const key = outer + token.text;
      if (depth == 0 || token.exported) level.set(token.text, 0);
      else if (depth == 1 || open[0] != "{") level.set(key, 1);
    }
    if (open.length == 0 && (token.text == ";" || token.text == "}")) outer++;
    if (open.length == 1 && token.text == ";") inner++;
  });
  for (const token of list.filter(variable)) {
    const key = token.outer + token.text;
    token.area = level.has(token.text) ? "" : level.has(key) ? `${token.outer}` : `${token.outer}.${token.inner}`;
  }
}

function shorten(list) {
  areas(list);
  const variables = list.filter((token) => token.area != null);
  const uses = new Map();
  for (const token of variables) {
    const key = token.area + " " + token.text;
    uses.set(key, (uses.get(key) ?? 0) + 1);
  }
  // The most used first, but the outer areas before all others: what they take is taken within them too.
  const depth = (key) => (key.startsWith(" ") ? 0 : key.includes(".") ? 2 : 1);
  const order = [...uses.keys()].sort((a, b) => depth(a) - depth(b) || uses.get(b) - uses.get(a));
  const letters = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$"];
  const pool = letters.concat(letters.flatMap((a) => letters.map((b) => a + b))).filter((name) => !KNOWN.has(name));
  const short = new Map();
  const used = new Map();
  const taken = (area) => used.get(area) ?? used.set(area, new Set()).get(area);
  for (const key of order) {
    const [area] = key.split(" ");
    const above = [...new Set(["", area.split(".")[0], area])];
    const name = pool.find((one) => !above.some((each) => taken(each).has(one)));
    taken(area).add(name);
    short.set(key, name);
  }
  for (const token of variables) {
    const name = short.get(token.area + " " + token.text);
    token.text = token.short ? (token.exported ? name + " as " + token.text : token.text + ":" + name) : name;
  }
}

// Neighbouring declarations become one.
function join(list) {
  const first = [undefined];
  list.forEach((token, index) => {
    const next = list[index + 1]?.text;
    if (token.kind == "mark" && "([{".includes(token.text)) first.push(undefined);
    else if (token.kind == "mark" && ")]}".includes(token.text)) {
      first.pop();
      // A block ends a statement, an object or a function's body in an expression does not.
      if (token.text == "}" && !/^(const|let)$/.test(first.at(-1))) first[first.length - 1] = undefined;
    } else if (token.text == ";") {
      if (first.at(-1) == next && /^(const|let)$/.test(next)) {
        token.text = ",";
        list[index + 1].text = "";
      } else first[first.length - 1] = undefined;
    } else first[first.length - 1] ??= token.text;
  });
  return list.filter((token) => token.text);
}

// The parentheses around a lone parameter of an arrow go.
function bare(list) {
  return list.filter((token, index) => {
    const lone = (at) => list[at]?.text == "(" && list[at + 1]?.kind == "word" && list[at + 2]?.text == ")" && list[at + 3]?.text == "=>";
    return !lone(index) && !lone(index - 2);
  });
}

const SHORT = new Map([
  ["true", "!0"],
  ["false", "!1"],
]);

export function minify(source) {
  let list = tokens(source);
  mark(list);
  shorten(list);
  list = bare(join(list));
  let text = "";
  list.forEach((token, index) => {
    const next = list[index + 1]?.text;
    // Semicolons and commas before a closing brace say nothing.
    if (token.text == ";" && next == "}") return;
    if (token.text == "," && /^[)\]}]$/.test(next)) return;
    const word = token.kind == "word" ? (SHORT.get(token.text) ?? token.text) : token.text;
    if (/[\w$]$/.test(text) && /^[\w$]/.test(word)) text += " ";
    text += word;
  });
  return "// Aplomb, Apache-2.0\n" + text + "\n";
}

const own = (name) => new URL(name, import.meta.url);

if (process.argv[1] == fileURLToPath(import.meta.url)) {
  const made = minify(readFileSync(own("src/client.js"), "utf8"));
  console.log(`${made.length} bytes, ${gzipSync(made, { level: 9 }).length} with gzip`);
  if (!process.argv.includes("--check")) writeFileSync(own("client.js"), made);
  else if (made != readFileSync(own("client.js"), "utf8")) {
    console.error("client.js is not current: run `node clients/js/minify.mjs`");
    process.exit(1);
  }
}
