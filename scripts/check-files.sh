#!/bin/sh
# Checks the files around the program with what can check them on this machine.
set -eu
cd "$(dirname "$0")/.."

promtool check rules packaging/prometheus/alerts.yml >/dev/null
promtool test rules packaging/prometheus/alerts_test.yml >/dev/null
(cd packaging/prometheus && promtool check config --syntax-only prometheus.yml >/dev/null)
echo "checked: Prometheus configuration, alert rules and their tests"

for script in scripts/*.sh packaging/debian/postinst; do sh -n "$script"; done
bash -n .ci/run
echo "checked: scripts"

if command -v docker >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
    docker compose -f docker-compose.yml config --quiet
    echo "checked: docker-compose.yml, by docker compose"
else
    python3 - <<'PY'
import sys
try:
    import yaml
except ImportError:
    sys.exit(print("not checked: docker-compose.yml (neither docker compose nor Python's yaml is here)"))
compose = yaml.safe_load(open("docker-compose.yml"))
volumes = set(compose["volumes"])
for name, service in compose["services"].items():
    assert ("image" in service) != ("build" in service), f"{name}: an image or a build"
    for needed in service.get("depends_on", []):
        assert needed in compose["services"], f"{name} depends on {needed}, which is not there"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        import os
        assert source in volumes or os.path.exists(source), f"{name}: {source} is neither a volume nor a file"
print("checked: docker-compose.yml, by its structure")
PY
fi

if command -v systemd-analyze >/dev/null 2>&1; then
    # The binary is not installed here; everything else about the unit is checked.
    if systemd-analyze verify packaging/mailweir.service 2>&1 | grep -v -e 'is not executable' -e 'man ' -e 'Command.*mailweir' -e '^$' | grep mailweir.service; then
        echo "packaging/mailweir.service is not right" >&2
        exit 1
    fi
    echo "checked: systemd unit"
fi
