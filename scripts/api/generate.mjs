// Generates the API reference, docs/api/, from the doc comments of the exports of src/index.ts.
// typedoc needs an older TypeScript than the project, so this folder has packages of its own, which
// are installed on the first use.
//
// usage: node scripts/api/generate.mjs [--check]
// --check: writes nothing. Lists the problems, with exit code 1, if an export of src/index.ts or
// src/browser.ts, a member of a class, or a field of an object has no doc comment, which editors
// show, a function or a class has no @example, or docs/api/ is out of date.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const reference = join(root, "docs", "api");

/** The section of the reference for each folder of src/. Each file of ops/ has its own. */
const categories = {
  "": "Tensors and devices",
  gpt: "Models",
  train: "Training",
  runs: "Training",
  data: "Text and tokenizers",
  text: "Text and tokenizers",
  tokenizers: "Text and tokenizers",
};

installPackages();
const typedoc = await import("typedoc");
const { MemberRouter } = await import(
  "./node_modules/typedoc-plugin-markdown/dist/router/index.js"
);
const { Comment, CommentTag, Converter, IntrinsicType, ReflectionKind } = typedoc;

/** Writes one page for each class and interface, in a folder for each namespace. */
class Router extends MemberRouter {
  getIdealBaseName(reflection) {
    const name = super.getIdealBaseName(reflection);
    return name.replace(/^.*\bnamespaces\//, "").replace(/\b(?:classes|interfaces)\//, "");
  }
}

const args = process.argv.slice(2);
if (args.length > 1 || (args.length === 1 && args[0] !== "--check")) {
  console.error(`usage: node scripts/api/generate.mjs [--check]`);
  process.exitCode = 1;
} else if (args[0] === "--check") {
  const temporary = mkdtempSync(join(tmpdir(), "tinybard-api-"));
  try {
    const project = await generate(temporary);
    const forBrowsers = await (await createApp("src/browser.ts", temporary)).convert();
    const isSummary = (problem) => problem.endsWith("doc comment"); // examples run in Node
    const undocumented = [
      ...findUndocumented(project),
      ...findUndocumented(forBrowsers).filter(isSummary),
    ];
    const problems = [...new Set(undocumented), ...findOutdated(temporary)];
    for (const problem of problems) console.error(`docs/api: ${problem}`);
    if (problems.length === 0) console.log("docs/api: complete and up to date");
    else process.exitCode = 1;
  } finally {
    rmSync(temporary, { recursive: true });
  }
} else {
  await generate(reference);
  console.log("docs/api: generated");
}

/** Installs the packages of this folder if they are missing. */
function installPackages() {
  if (existsSync(join(here, "node_modules", "typedoc"))) return;
  const { status } = spawnSync("npm", ["ci"], {
    cwd: here,
    stdio: "inherit",
    shell: process.platform === "win32", // npm is a script there
  });
  if (status !== 0) throw new Error("docs/api: npm ci failed in scripts/api");
}

/** Returns typedoc with the options of the reference. */
function createApp(entryPoint, folder) {
  return typedoc.Application.bootstrapWithPlugins({
    plugin: ["typedoc-plugin-markdown"],
    entryPoints: [join(root, entryPoint)],
    tsconfig: join(here, "tsconfig.json"),
    name: "tinybard API",
    readme: join(here, "intro.md"),
    mergeReadme: true,
    out: folder,
    membersWithOwnFile: ["Class", "Interface"],
    logLevel: "Error",
    disableSources: true, // line numbers would change with every commit
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    groupOrder: ["Namespaces", "Classes", "Functions", "*"],
    categorizeByGroup: false,
    categoryOrder: ["Namespaces", "Classes", "Interfaces", categories[""], "*"],
    hideBreadcrumbs: true,
    hidePageHeader: true,
    indexFormat: "table",
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    typeAliasPropertiesFormat: "table",
    classPropertiesFormat: "table",
    useCodeBlocks: true,
    expandParameters: true,
  });
}

/** Writes the reference to a folder. Returns typedoc's model of the public exports. */
async function generate(folder) {
  const app = await createApp("src/index.ts", folder);
  app.renderer.defineRouter("tinybard", Router);
  app.options.setValue("router", "tinybard");
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const reflection of project.children ?? []) addCategory(project, reflection);
  });
  const project = await app.convert();
  if (!project) throw new Error("docs/api: the sources have errors");
  removeInherited(project);
  summarizePresets(project);
  await app.generateOutputs(project);
  if (app.logger.hasErrors()) throw new Error("docs/api: typedoc reported errors");
  return project;
}

/** Returns the section of an export: that of its kind if it has a page, or of its source file. */
function getCategory(project, reflection) {
  if (reflection.kindOf(ReflectionKind.Namespace)) return "Namespaces";
  if (reflection.kindOf(ReflectionKind.Class)) return "Classes";
  if (reflection.kindOf(ReflectionKind.Interface)) return "Interfaces";
  const file = project.getSymbolIdFromReflection(reflection)?.packagePath ?? "";
  const [, folder = "", name] = /^src\/(?:(\w+)\/)?(?:.*\/)?([^/]+)\.ts$/.exec(file) ?? [];
  return folder === "ops" ? `Ops: ${name}` : (categories[folder] ?? categories[""]);
}

/** Adds a @category tag to the comment of an export. */
function addCategory(project, reflection) {
  const text = getCategory(project, reflection);
  for (const target of reflection.signatures ?? [reflection]) {
    target.comment ??= new Comment();
    target.comment.blockTags.push(new CommentTag("@category", [{ kind: "text", text }]));
  }
}

/** Removes inherited members from classes: the page of the base class documents them. */
function removeInherited(project) {
  const isInherited = (member) =>
    member.inheritedFrom?.reflection?.parent?.kindOf(ReflectionKind.Class) ?? false;
  const classes = project.getReflectionsByKind(ReflectionKind.Class);
  const inherited = new Set(classes.flatMap(({ children = [] }) => children.filter(isInherited)));
  for (const reflection of classes) {
    for (const group of reflection.groups ?? []) {
      group.children = group.children.filter((member) => !inherited.has(member));
    }
    reflection.groups = reflection.groups?.filter((group) => group.children.length > 0);
  }
  for (const member of inherited) project.removeReflection(member);
}

/** Reduces `presets` to a list of names with their descriptions. */
function summarizePresets(project) {
  const presets = project.getChildByName("presets");
  for (const preset of presets?.type?.declaration?.children ?? []) {
    project.removeTypeReflections(preset.type);
    preset.type = new IntrinsicType("object");
  }
}

/**
 * Lists the exports, members and fields that have no summary, and the functions and classes that
 * have no example.
 */
function findUndocumented(container, prefix = "") {
  return (container.children ?? []).flatMap((reflection) => {
    const name = prefix + reflection.name;
    if (reflection.kindOf(ReflectionKind.Namespace)) {
      return findUndocumented(reflection, `${name}.`);
    }
    const comments = (reflection.signatures ?? [reflection]).map(({ comment }) => comment);
    const problems = [];
    if (!comments.some((comment) => comment?.hasVisibleComponent() && comment.summary.length > 0)) {
      problems.push(`${name} has no doc comment`);
    }
    const isCallable = reflection.kindOf([ReflectionKind.Function, ReflectionKind.Class]);
    const needsExample = isCallable && !name.endsWith("Error");
    if (needsExample && !comments.some((comment) => comment?.getTag("@example"))) {
      problems.push(`${name} has no @example`);
    }
    return [...problems, ...findUndocumentedMembers(reflection, name)];
  });
}

/** Lists the members of a class or interface, and the fields of an object, without a summary. */
function findUndocumentedMembers(reflection, name) {
  const isOwn = (member) =>
    !member.inheritedFrom &&
    !member.flags.isProtected &&
    !member.name.startsWith("[") &&
    member.name !== "constructor";
  if (reflection.kindOf(ReflectionKind.Variable)) return [];
  const members = (reflection.children ?? reflection.type?.declaration?.children ?? []).filter(
    isOwn,
  );
  return members.flatMap((member) => {
    const sources = [
      member,
      ...(member.signatures ?? []),
      member.getSignature,
      member.setSignature,
    ];
    const isDocumented = sources.some((source) => source?.comment?.summary.length > 0);
    return isDocumented ? [] : [`${name}.${member.name} has no doc comment`];
  });
}

/** Lists the files of docs/api/ that differ from the generated ones. */
function findOutdated(generated) {
  const list = (folder) =>
    existsSync(folder)
      ? readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".md"))
      : [];
  const read = (folder, file) =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8") : null;
  const files = new Set([...list(generated), ...list(reference)]);
  return [...files]
    .filter((file) => read(generated, file) !== read(reference, file))
    .map((file) => `${file} is out of date; run: npm run docs:api`);
}
