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
  serve | config | healthcheck | help | -*) set -- registry "$@" ;;
  status | gc | garbage-collect | trash | verify | backup | readonly | reindex | release) set -- registry "$@" ;;
esac

# These alone never write to the volume.
case ${1##*/}:${2:-} in
  registry:config | registry:healthcheck | registry:help | registry:-* | registry:) exec "$@" ;;
  berth:config | berth:healthcheck | berth:help | berth:-* | berth:) exec "$@" ;;
  registry:* | berth:*) ;;
  *) exec "$@" ;;
esac
[ "$(id -u)" = 0 ] || exec "$@"

# The registry itself is asked where its data lives: variables and the file have their say there. A configuration with
# a problem has no such folder, and the registry itself tells what is wrong with it.
file=''
for argument; do
  case $argument in *.yml | *.yaml) file=$argument ;; esac
done
root=$("$1" config check ${file:+"$file"} 2>/dev/null | sed -n 's/^ *root: //p' || true)
owner=$(stat -c '%u:%g' -- "$root" 2>/dev/null || true)
user=${owner%:*}
group=${owner#*:}
if [ "${user:-0}" = 0 ]; then
  exec "$@"
fi
exec setpriv --reuid "$user" --regid "$group" --clear-groups -- "$@"
