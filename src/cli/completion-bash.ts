// The completion script for bash (3.2 or newer, with or without the bash-completion package).

import { allNodes, type CompletionFlag, type CompletionNode } from "./completion-tree.ts";

export function bashScript(root: CompletionNode): string {
  const nodes = allNodes(root);
  return `# bash completion for portal
_portal() {
  local cur prev path word index flags words files skip
  cur="\${COMP_WORDS[COMP_CWORD]}"
  prev="\${COMP_WORDS[COMP_CWORD-1]}"
  # "--flag=value" arrives as three words.
  if [[ "$cur" == "=" ]]; then
    cur=""
  elif [[ "$prev" == "=" && COMP_CWORD -gt 1 ]]; then
    prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  path="${root.name}"
  skip=""
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    if [[ "$word" == "--" ]]; then COMPREPLY=(); return; fi
    if [[ -n "$skip" ]]; then
      [[ "$word" == "=" ]] || skip=""
      continue
    fi
    case "$word" in
      ${valueFlags(nodes).join("|")}) skip=1 ;;
      -*|=) ;;
      *)
        case "$path $word" in
${nodes.slice(1).map(descend).join("\n")}
        esac
        ;;
    esac
  done
  case "$prev" in
${valueCases(nodes).join("\n")}
  esac
  flags=""
  words=""
  files=""
  case "$path" in
${nodes.map(nodeCase).join("\n")}
  esac
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n "$files" ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _portal portal
`;
}

function descend(node: CompletionNode): string {
  return `          "${node.path}") path="${node.path}" ;;`;
}

function nodeCase(node: CompletionNode): string {
  const flags = node.flags.flatMap((flag) => flag.names.filter((name) => name.startsWith("--")));
  const words = [...node.children.map((child) => child.name), ...node.words];
  const files = node.takesFiles ? "; files=1" : "";
  return `    "${node.path}") flags="${flags.join(" ")}"; words="${words.join(" ")}"${files} ;;`;
}

function valueFlags(nodes: readonly CompletionNode[]): string[] {
  const names = takingValues(nodes).flatMap((flag) => flag.names);
  return [...new Set(names)];
}

function valueCases(nodes: readonly CompletionNode[]): string[] {
  const byName = new Map<string, string>();
  for (const flag of takingValues(nodes)) {
    const reply = flag.isFile
      ? 'COMPREPLY=($(compgen -f -- "$cur"))'
      : `COMPREPLY=($(compgen -W "${flag.values.join(" ")}" -- "$cur"))`;
    byName.set(flag.names.join("|"), reply);
  }
  return [...byName].map(([names, reply]) => `    ${names}) ${reply}; return ;;`);
}

function takingValues(nodes: readonly CompletionNode[]): CompletionFlag[] {
  return nodes.flatMap((node) => node.flags).filter((flag) => flag.takesValue);
}
