# SPDX-License-Identifier: Apache-2.0
# Completion of Sluice's programs for fish.

function __sluice_complete
    set -l word (commandline -ct)
    set -l before ""
    set -l value $word
    if string match -q -- '--*=*' $word
        set before (string replace -r -- '=.*' '=' $word)
        set value (string replace -r -- '^[^=]*=' '' $word)
    end
    for line in (@LIBEXECDIR@/sluice/complete (commandline -opc) "$word" 2>/dev/null)
        switch $line
            case :dir
                __fish_complete_directories $value | string replace -r -- '^' $before
            case :file
                __fish_complete_path $value | string replace -r -- '^' $before
            case '*'
                echo -- $before$line
        end
    end
end

for program in sluice fetchd ingestd commitd
    complete -c $program -f -a '(__sluice_complete)'
end
