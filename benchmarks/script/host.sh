# The whole rollout on one host; the build comes on the standard input if it is wanted. Arguments stand in front.
set -eu
system=$root/exam-scheduling
home=$system/versions/$version
if [ "$(cat "$home/.sha256" 2>/dev/null)" = "$sha256" ] && [ "$(readlink "$system/current")" = "versions/$version" ]; then
    exec "$system/current/bin/health"
fi
mkdir -p "$home.new" "$system/shared"
cat >"$system/build"
echo "$sha256  $system/build" | sha256sum -c --quiet
tar -xzf "$system/build" -C "$home.new"
sed -e "s|@address@|$address|" -e "s|@port@|$port|" "$home.new/etc/site.conf.in" >"$home.new/etc/site.conf"
echo "$sha256" >"$home.new/.sha256"
rm -rf "$home"
mv "$home.new" "$home"
sync -f "$home"
ln -sfn "versions/$version" "$system/current.new"
mv -T "$system/current.new" "$system/current"
"$system/current/bin/service" restart
"$system/current/bin/health"
rm -f "$system/build"
cd "$system/versions" && ls -1t | tail -n +3 | xargs -r rm -rf
