#!/bin/sh
# cloud-init's own stages in its own order. The outcome is written when all of them have ended, in one step.

outcome=succeeded
for stage in "init --local" "init" "modules --mode=config" "modules --mode=final"; do
    # shellcheck disable=SC2086
    cloud-init $stage || outcome=failed
done
# A module that fails leaves the stage's exit code alone, and its name in result.json.
if ! python3 -c 'import json,sys; sys.exit(bool(json.load(open("/run/cloud-init/result.json"))["v1"]["errors"]))'; then
    outcome=failed
fi
mkdir -p /var/lib/forebay
tail -c 65536 /var/log/cloud-init-output.log >/var/lib/forebay/first-boot.log
echo "$outcome" >/var/lib/forebay/first-boot.new
mv /var/lib/forebay/first-boot.new /var/lib/forebay/first-boot
