#!/bin/sh
# Puts together the root file system of the image: this Debian's Python, what it links to, and the application.
# Nothing else is in it: no shell, no package manager, no pip.   usage: assemble.sh SOURCES VENV ROOTFS
set -eu
sources=$1 venv=$2 root=$3
python=$(readlink -f /usr/bin/python3)
version=$(basename "$python")
stdlib=/usr/lib/$version
site=$venv/lib/$version/site-packages

# The application, beside the chart files that it reads. A launcher, for pip is not there to make one.
cp -r "$sources/hook/gitops_runtime_auth" "$site/"
mkdir "$site/gitops_runtime_auth/chart"
cp "$sources"/chart/* "$site/gitops_runtime_auth/chart/"
cat > "$venv/bin/gitops-runtime-auth" <<LAUNCHER
#!$venv/bin/python
from gitops_runtime_auth.__main__ import run

run()
LAUNCHER
chmod 755 "$venv/bin/gitops-runtime-auth"

# The Kubernetes client: only its generic half is used (gitops_runtime_auth/kube/api.py), neither the asyncio twin nor the models.
rm -rf "$site/kubernetes/aio"
find "$site/kubernetes/client/api" "$site/kubernetes/client/models" -name '*.py' ! -name __init__.py -delete
# These load all of the package, whatever one needs of it: a quarter of the time and 6 MB (gitops_runtime_auth/kube/api.py names parts).
for part in . config utils; do : > "$site/kubernetes/$part/__init__.py"; done
for name in aiohttp aiohttp_retry aiohappyeyeballs aiosignal frozenlist multidict propcache yarl; do
  rm -rf "$site/$name" "$site/$name"-*.dist-info
done
find "$site" -type d \( -name tests -o -name testing -o -name __pycache__ \) -prune -exec rm -rf {} +

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/etc/ssl/certs" "$root/tmp" "$root/var/run"
for name in bin lib lib64; do ln -s "usr/$name" "$root/$name"; done
chmod 1777 "$root/tmp"
cp "$python" "$root/usr/bin/"
ln -s "$version" "$root/usr/bin/python3"
cp -r "$stdlib" "$root/usr/lib/"
for part in test idlelib lib2to3 tkinter turtledemo ensurepip pydoc_data distutils __pycache__ "config-3.*"; do
  find "$root$stdlib" -depth -type d -name "$part" -exec rm -rf {} +
done
cp -r "$venv" "$root$venv"
ln -sf "/usr/bin/$version" "$root$venv/bin/python3"
ln -sf python3 "$root$venv/bin/python"
cp -L /etc/ssl/certs/*.0 "$root/etc/ssl/certs/"  # under the hashes that OpenSSL looks them up by (gitops_runtime_auth/argocd/tls.py)
echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' > "$root/etc/passwd"
echo 'nonroot:x:65532:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"

# Every shared library that the interpreter or an extension module links to. An extension whose library this
# Debian lacks (readline, tk) is not used and stays broken, as it was.
{ echo "$python"; find "$root$stdlib" "$root$venv" -name '*.so*' -type f; } | while read -r file; do
  ldd "$file" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\).*/\1/p'
done | sort -u | while read -r library; do
  real=$(readlink -f "$library")
  # On a merged /usr, /lib/... is /usr/lib/...: keep the name that the linker asks for.
  target="$root/usr/${library#/}"
  case $library in /usr/*) target="$root$library" ;; esac
  mkdir -p "$(dirname "$target")"
  cp "$real" "$target"
done

# Unchecked: the sources in an image do not change, so no start-up has to look.
"$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" -p / "$root$stdlib" "$root$venv/lib"
