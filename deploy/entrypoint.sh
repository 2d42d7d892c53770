#!/bin/sh
# The entry of the container image. Its words are those of distribution's images: a configuration file alone is served,
# a command of the registry is one, and anything else is run as it stands (`docker run -it berth sh`).
#
# A registry that is started as root goes on as the owner of the folder that holds its data: as root where root owns
# it, so that a volume of another registry keeps working and nothing has to change hands; as its user where a user
# does. `docker run --user` decides for itself.
set -eu

[ $# -gt 0 ] || set -- serve
case $1 in
  *.yml | *.yaml) set -- registry serve "$@" ;;
  serve | config | healthcheck | garbage-collect | help | -*) set -- registry "$@" ;;
esac

# Only who serves writes to the volume.
case ${1##*/}:${2:-} in
  registry:serve | berth:serve) ;;
  *) exec "$@" ;;
esac
[ "$(id -u)" = 0 ] || exec "$@"

# The registry itself is asked where its data lives: variables and the file have their say there. A configuration with
# a problem has no such folder, and the registry itself tells what is wrong with it.
root=$("$1" config check ${3:+"$3"} 2>/dev/null | sed -n 's/^ *root: //p' || true)
owner=$(stat -c '%u:%g' -- "$root" 2>/dev/null || true)
user=${owner%:*}
group=${owner#*:}
if [ "${user:-0}" = 0 ]; then
  exec "$@"
fi
exec setpriv --reuid "$user" --regid "$group" --clear-groups -- "$@"
