# SPDX-License-Identifier: Apache-2.0
# Completion of Sluice's programs for bash, with the functions of the package bash-completion.

_sluice()
{
	local cur prev words cword split candidate
	_init_completion -s -n : || return
	while IFS=$'\t' read -r candidate _; do
		case $candidate in
		:dir) _filedir -d ;;
		:file) _filedir ;;
		"$cur"*) COMPREPLY+=("$candidate") ;;
		esac
	done < <(@LIBEXECDIR@/sluice/complete "${words[@]:0:cword+1}" 2>/dev/null)
	__ltrim_colon_completions "$cur"
} &&
	complete -F _sluice sluice fetchd ingestd commitd
