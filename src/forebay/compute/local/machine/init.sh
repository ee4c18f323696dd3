#!/bin/sh
# The machine's init, run by tini. SSH comes first; what cloud-init was asked to do follows in the background.
# SIGTERM ends everything in order: every process is asked, has eight seconds, and is then made to go. Shells at
# terminals don't hear SIGTERM. They are hung up on once nobody else is left, for they would hang up on what runs in them.

# The fifteenth bit, in hexadecimal digits.
ignores_term='^SigIgn:.*[4-7c-f][0-9a-f][0-9a-f][0-9a-f]$'

end_everything() {
    trap '' TERM INT
    kill -TERM -1 2>/dev/null
    ticks=0
    # Until only tini and this script are left, which ignores SIGTERM itself by now.
    while set -- /proc/[0-9]*; [ $# -gt 2 ] && [ "$ticks" -lt 80 ]; do
        deaf=$(grep -ls "$ignores_term" $(printf '%s/status ' "$@") | wc -l)
        [ "$deaf" -ge $(($# - 1)) ] && kill -HUP -1 2>/dev/null
        sleep 0.1
        ticks=$((ticks + 1))
    done
    kill -KILL -1 2>/dev/null
    exit 0
}
trap end_everything TERM INT

umask 022
mkdir -p /run/sshd /etc/forebay /var/lib/forebay
rm -rf /run/sshd.pid /run/nologin /run/forebay-logins
mkdir -m 0700 /run/forebay-logins
note_login='session optional pam_exec.so quiet /usr/lib/forebay/note-login'
if [ -e /etc/pam.d/sshd ] && ! grep -qF "$note_login" /etc/pam.d/sshd; then
    echo "$note_login" >>/etc/pam.d/sshd
fi

# The keys of the launch; from then on the file is what counts.
if [ ! -e /etc/forebay/authorized_keys ]; then
    printf '%s\n' "$FOREBAY_AUTHORIZED_KEYS" >/etc/forebay/authorized_keys.new
    mv /etc/forebay/authorized_keys.new /etc/forebay/authorized_keys
fi
unset FOREBAY_AUTHORIZED_KEYS
# Without it sshd would let nobody in.
[ -e /etc/forebay/removed_keys ] || : >/etc/forebay/removed_keys

# Made in a folder of their own first: a key that a sudden end left half written is made again.
for kind in ed25519 ecdsa; do
    key=/etc/ssh/ssh_host_${kind}_key
    if [ ! -s "$key" ] || [ ! -s "$key.pub" ]; then
        rm -rf /etc/ssh/new && mkdir -m 0700 /etc/ssh/new
        ssh-keygen -q -t "$kind" -N '' -C '' -f "/etc/ssh/new/key"
        mv /etc/ssh/new/key.pub "$key.pub" && mv /etc/ssh/new/key "$key"
    fi
done
rm -rf /etc/ssh/new
sed 's/^/forebay: host key /' /etc/ssh/ssh_host_*_key.pub
cat /etc/ssh/ssh_host_*_key.pub >/etc/forebay/host_keys

keep_sshd() {
    while :; do
        # A person may restart sshd by hand: what listens then is theirs, and stays.
        if ! { [ -s /run/sshd.pid ] && kill -0 "$(cat /run/sshd.pid)" 2>/dev/null; }; then
            /usr/sbin/sshd -D -e
        fi
        sleep 2
    done
}
keep_sshd &

if [ -s /var/lib/cloud/seed/nocloud/user-data ] && [ ! -e /var/lib/forebay/first-boot ]; then
    /usr/lib/forebay/first-boot >/dev/null 2>&1 </dev/null &
fi

while :; do
    sleep 2147483647 &
    wait $!
done
