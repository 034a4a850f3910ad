# syntax=docker/dockerfile:1
# Any Debian 12 or 13 base: the same file builds with Docker on debian:*-slim and with buildah on a debootstrapped base.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates
COPY requirements.lock requirements-build.lock /src/
RUN python3 -m venv --without-pip /app \
 && python3 -m venv /tmp/pip \
 && /tmp/pip/bin/pip install -q --no-cache-dir --require-hashes -r /src/requirements-build.lock \
 && /tmp/pip/bin/pip --python /app/bin/python install -q --no-cache-dir --no-compile --require-hashes -r /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY hook /src/hook
COPY chart /src/chart
RUN /tmp/pip/bin/pip wheel -q --no-deps --no-build-isolation -w /tmp/wheel /src \
 && /tmp/pip/bin/pip --python /app/bin/python install -q --no-deps --no-index --no-compile /tmp/wheel/*.whl
COPY image/assemble.sh /src/
RUN sh /src/assemble.sh /app /rootfs

FROM scratch
# The chart's version: make image hands it over (dev/release_check.py compares).
ARG VERSION=dev
LABEL org.opencontainers.image.title=gitops-runtime-auth \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.source=https://github.com/gitops-runtime-auth/gitops-runtime-auth
COPY --from=build /rootfs /
ENV PATH=/app/bin:/usr/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SSL_CERT_DIR=/etc/ssl/certs
# Any other user works too: nothing is written but to /tmp. OpenShift picks one by itself, with group 0.
USER 65532:65532
ENTRYPOINT ["gitops-runtime-auth"]
