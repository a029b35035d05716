# Completion of safepoint for fish: safepoint completion fish | source
function __safepoint_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    set -l answer ($program __complete $words $current 2>/dev/null)
    switch "$answer[1]"
        case :files
            __fish_complete_path (string replace -r '^--[^=]*=' '' -- $current)
        case :dirs
            __fish_complete_directories (string replace -r '^--[^=]*=' '' -- $current) ''
        case '*'
            printf '%s\n' $answer
    end
end
complete -c safepoint -f -k -a '(__safepoint_complete)'
