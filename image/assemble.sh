#!/bin/sh
# Puts together the root file system of the image: this Debian's Python, the libraries that it links to, the CAs, and the
# application's virtual environment as pip installed it. Nothing else is in it: no shell, no package manager, no pip.
# usage: assemble.sh VENV ROOTFS
set -eu
venv=$1 root=$2
python=$(readlink -f /usr/bin/python3)
version=$(basename "$python")
stdlib=/usr/lib/$version

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/etc/ssl/certs" "$root/tmp" "$root/var/run"
for name in bin lib lib64; do ln -s "usr/$name" "$root/$name"; done
chmod 1777 "$root/tmp"
cp "$python" "$root/usr/bin/"
dpkg -L "lib$version-minimal" "lib$version-stdlib" | grep "^$stdlib/" |
  tar -C / -cf - --no-recursion --verbatim-files-from -T - | tar -C "$root" -xf -
cp -r "$venv" "$root$venv"
ln -sf "$python" "$root$venv/bin/python3"
cp -L /etc/ssl/certs/*.0 "$root/etc/ssl/certs/"  # under the hashes that OpenSSL looks them up by (argocd/tls.py)
echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' > "$root/etc/passwd"
echo 'nonroot:x:65532:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
cp /usr/lib/os-release "$root/usr/lib/"
ln -s ../usr/lib/os-release "$root/etc/os-release"

# Every shared library that the interpreter or an extension module links to. An extension whose library this
# Debian lacks (readline, tk) is not used and stays broken, as it was.
libraries=$({ echo "$python"; find "$root$stdlib" "$root$venv" -name '*.so*' -type f; } | while read -r file; do
  ldd "$file" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\).*/\1/p'
done | grep -v "^$venv/" | sort -u)
for library in $libraries; do
  # On a merged /usr, /lib/... is /usr/lib/...: keep the name that the linker asks for.
  target="$root/usr/${library#/}"
  case $library in /usr/*) target="$root$library" ;; esac
  mkdir -p "$(dirname "$target")"
  cp -L "$library" "$target"
done

# Debian's records of the packages that these files come from, where scanners and SBOM tools look in an image without
# dpkg (as in Google's distroless images), and their licences.
packages=$(for file in "$python" "$stdlib/os.py" "$stdlib/json/__init__.py" /usr/lib/os-release $libraries; do
  # dpkg knows some libraries by their path of before the merged /usr.
  dpkg -S "$file" 2>/dev/null || dpkg -S "${file#/usr}" || dpkg -S "/usr$file"
done | sed 's/:.*//' | sort -u)
mkdir -p "$root/var/lib/dpkg/status.d"
for package in $packages ca-certificates; do
  dpkg-query -s "$package" > "$root/var/lib/dpkg/status.d/$package"
  mkdir -p "$root/usr/share/doc/$package"
  cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done

# Compiled beforehand, so that no start has to; unchecked, because the sources in an image do not change. Not compiled
# is what nothing here imports (kube/official.py): of the Kubernetes client that would be 45 MB.
"$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" -p / \
  -x '/kubernetes/(aio|client/(api|models))/' "$root$stdlib" "$root$venv/lib"
