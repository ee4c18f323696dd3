#!/bin/sh
# Run by PAM when sshd lets somebody in: writes down which process serves the connection, and the key that opened it, so
# that it can be ended when the key is taken off the machine.

[ "$PAM_TYPE" = open_session ] && cd /run/forebay-logins || exit 0
read -r stat <"/proc/$PPID/stat" || exit 0
# A process is known by its number and by when it was started: the 22nd field, the 20th after its name.
# shellcheck disable=SC2086
set -- ${stat##*) }
started=${20}
# `publickey`, its type, and the key.
# shellcheck disable=SC2086
set -- $SSH_AUTH_INFO_0
[ "$1" = publickey ] || exit 0
umask 077
exec 9>lock
flock 9
echo "$PPID $started $2 $3" >>logins
if [ "$(stat -c %s logins)" -gt 65536 ]; then
    while read -r pid rest; do
        [ ! -e "/proc/$pid" ] || echo "$pid $rest"
    done <logins >logins.new
    mv logins.new logins
fi
# Taken off in this very moment: whoever ends its connections may have read the list before.
! grep -qF -- "$3" /etc/forebay/removed_keys || kill "$PPID"
