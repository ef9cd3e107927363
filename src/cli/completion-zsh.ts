// The completion script for zsh: one function for each command, on top of zsh's own _arguments.

import { allNodes, type CompletionFlag, type CompletionNode } from "./completion-tree.ts";

export function zshScript(root: CompletionNode): string {
  return `#compdef portal

${allNodes(root).map(nodeFunction).join("\n")}
if [ "$funcstack[1]" = "_portal" ]; then
  _portal "$@"
else
  compdef _portal portal
fi
`;
}

function nodeFunction(node: CompletionNode): string {
  const name = functionName(node);
  const specs = node.flags.flatMap(flagSpecs);
  if (node.children.length === 0) {
    const chosen = node.words.length > 0 ? `(${node.words.join(" ")})` : "( )";
    const words = node.takesFiles ? "_files" : chosen;
    return `${name}() {
  _arguments -s -S \\
    ${[...specs, quote(`*:word:${words}`)].join(" \\\n    ")}
}
`;
  }
  return `${name}() {
  local curcontext="$curcontext" context state state_descr line
  typeset -A opt_args
  _arguments -C \\
    ${[...specs, "'1: :->command'", "'*:: :->rest'"].join(" \\\n    ")}
  case $state in
    command)
      local -a commands
      commands=(
${node.children.map((child) => `        ${quote(`${child.name}:${escapeColons(child.help)}`)}`).join("\n")}
${node.words.map((word) => `        ${quote(word)}`).join("\n")}
      )
      _describe -t commands command commands
      ;;
    rest)
      case $line[1] in
${node.children.map((child) => `        ${child.name}) ${functionName(child)} ;;`).join("\n")}
      esac
      ;;
  esac
}
`;
}

/** One `_arguments` spec for each name of the flag. */
function flagSpecs(flag: CompletionFlag): string[] {
  const help = `[${flag.help.replace(/[[\]]/g, "\\$&").replace(/:/g, "\\:")}]`;
  const action = flag.isFile
    ? "_files"
    : flag.values.length > 0
      ? `(${flag.values.join(" ")})`
      : " ";
  return flag.names.map((name) => {
    if (!flag.takesValue) return quote(`${name}${help}`);
    return quote(`${name}${name.startsWith("--") ? "=" : "+"}${help}:value:${action}`);
  });
}

function functionName(node: CompletionNode): string {
  return `_${node.path.replace(/[ -]/g, "_")}`;
}

function escapeColons(text: string): string {
  return text.replace(/:/g, "\\:");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
