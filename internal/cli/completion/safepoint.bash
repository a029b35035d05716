# Completion of safepoint for bash: source <(safepoint completion bash)
_safepoint() {
	local IFS=$'\n' word glue='' words=() line cur prefix candidate
	# bash takes words apart at = and :, and safepoint wants them whole.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
		if [[ -n $glue || $word == [=:]* ]] && ((${#words[@]})); then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		glue=
		[[ $word == *[=:] ]] && glue=yes
	done
	cur=${words[-1]}
	COMPREPLY=()
	while read -r line; do
		case $line in
		:files) compopt -o filenames; COMPREPLY=($(compgen -f -- "${cur#*=}")); return ;;
		:dirs) compopt -o filenames; COMPREPLY=($(compgen -d -- "${cur#*=}")); return ;;
		esac
		printf -v candidate %q "${line%%$'\t'*}"
		# What bash holds for a word of its own is not said again.
		prefix=${cur%"${COMP_WORDS[COMP_CWORD]#[=:]}"}
		COMPREPLY+=("${candidate#"$prefix"}")
	done < <("$1" __complete "${words[@]}" 2>/dev/null)
}
complete -F _safepoint safepoint
