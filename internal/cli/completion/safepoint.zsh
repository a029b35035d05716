#compdef safepoint
# Completion of safepoint for zsh: source <(safepoint completion zsh), or a file _safepoint in a folder of $fpath.
_safepoint() {
	local line entry
	local -a answer described
	answer=("${(@f)$("${(Q)~words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	case ${answer[1]} in
	'') return 1 ;;
	:files) compset -P '*='; _files; return ;;
	:dirs) compset -P '*='; _files -/; return ;;
	esac
	for line in $answer; do
		entry=${${line%%$'\t'*}//:/\\:}
		[[ $line == *$'\t'* ]] && entry+=:${line#*$'\t'}
		described+=("$entry")
	done
	_describe -V safepoint described
}
if [[ ${funcstack[1]} == _safepoint ]]; then
	_safepoint "$@"
else
	compdef _safepoint safepoint
fi
