# One image for every process: `docker run pillarbox api`, `docker run pillarbox worker`.
#
# The base is pinned by tag, so that a rebuild brings Debian's and CPython's security fixes. To pin it by content too:
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements/ requirements/
# The environment that is shipped has no pip and no build tools in it, only what run.txt names with a hash.
RUN python -m venv --without-pip /opt/pillarbox \
    && pip --python /opt/pillarbox/bin/python install --no-cache-dir --only-binary=:all: \
        --require-hashes --requirement requirements/run.txt \
    && pip install --no-cache-dir --require-hashes --requirement requirements/build.txt
COPY pyproject.toml LICENSE ./
COPY app/ app/
COPY worker/ worker/
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/pillarbox/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Pillarbox" \
      org.opencontainers.image.description="Takes mail over HTTP and delivers it over SMTP" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/pillarbox /opt/pillarbox
# Nothing is written inside the container: the root file system can be read-only.
ENV PATH=/opt/pillarbox/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# No HEALTHCHECK: one image runs two kinds of process on two ports, and Kubernetes probes them itself (k8s/base).
ENTRYPOINT ["pillarbox"]
CMD ["api"]
