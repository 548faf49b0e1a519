# SPDX-License-Identifier: Apache-2.0
# Completion of facenet(1) for bash.
# shellcheck shell=bash disable=SC2207

_facenet() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} options
    local common='--server --key-file --ca --proxy --timeout --retries --help'
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W 'embed distance detect crop dir model help --help --version' -- "$word"))
        return
    fi
    case $before in
    --key-file | --ca | --output | -O)
        compopt -o filenames
        COMPREPLY=($(compgen -f -- "$word"))
        return
        ;;
    --option | -o)
        compopt -o nospace
        COMPREPLY=($(compgen -W 'align= face= max_faces= min_face= far= reject= index=' -- "$word"))
        return
        ;;
    --retries)
        COMPREPLY=($(compgen -W '0 1 2 3' -- "$word"))
        return
        ;;
    --server | -s | --proxy | --timeout | -t | --max-l2 | --jobs | -j) return ;;
    esac
    case $command in
    embed) options='--option --numbers --jobs' ;;
    distance) options='--option --json --max-l2' ;;
    detect) options='--option --json' ;;
    crop) options='--option --output' ;;
    dir) options='--option --csv --jsonl --npy --output --restart --jobs --quiet' ;;
    model) options='--json' ;;
    *) return ;;
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$common $options" -- "$word"))
    elif [ "$command" = dir ]; then
        compopt -o filenames
        COMPREPLY=($(compgen -d -- "$word"))
    elif [ "$command" != model ]; then
        compopt -o filenames
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}
complete -F _facenet facenet
