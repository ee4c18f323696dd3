#!/bin/sh
# The machine's init, run by tini. SSH comes first; what cloud-init was asked to do follows in the background.
# SIGTERM ends everything in order: every process is asked, has eight seconds, and is then made to go.

umask 022
mkdir -p /run/sshd /run/forebay
rm -f /run/sshd.pid /run/nologin /run/forebay/*

end_everything() {
    trap '' TERM INT
    kill -TERM -1 2>/dev/null
    ticks=0
    while [ "$ticks" -lt 80 ] && [ "$(ls -d /proc/[0-9]* | wc -l)" -gt "$1" ]; do
        sleep 0.1
        ticks=$((ticks + 1))
    done
    kill -KILL -1 2>/dev/null
    exit 0
}
# tini, this script, and the two processes of the command substitution that counts them.
trap 'end_everything 4' TERM INT

for kind in ed25519 ecdsa; do
    key=/etc/ssh/ssh_host_${kind}_key
    [ -s "$key.pub" ] || { rm -f "$key" "$key.pub"; ssh-keygen -q -t "$kind" -N '' -C '' -f "$key"; }
done

cat /etc/ssh/ssh_host_*_key.pub >/etc/forebay/host_keys.new
mv /etc/forebay/host_keys.new /etc/forebay/host_keys

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
    /usr/lib/forebay/first-boot >>/var/log/cloud-init-output.log 2>&1 </dev/null &
fi

while :; do
    sleep 2147483647 &
    wait $!
done
