# The server as an image: `docker build --tag greenroom .`, then
#
#   docker run --publish 127.0.0.1:8000:8000 --volume "$PWD/models:/models:ro" --volume greenroom:/state greenroom
#
# Predictions are published, the admin routes are not: they stay on the container's own loopback
# (127.0.0.1:8002). To publish them, give a greenroom.toml with `[admin] listen = "0.0.0.0:8002"` and a `token_file`,
# without which greenroom refuses to start; mount both files and add `--config` to the flags below.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /greenroom

# By itself, so that a change of the source does not fetch it again.
COPY scripts/onnxruntime scripts/
RUN scripts/onnxruntime

COPY . .
# The caches are outside the image, so what was built is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/greenroom/target \
    cargo build --release --locked --bin greenroom \
    && cp target/release/greenroom .

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 greenroom \
    && useradd --uid 10001 --gid greenroom --no-create-home --home-dir /state --shell /usr/sbin/nologin greenroom \
    && install --directory --owner greenroom --group greenroom /models /state

# The library lies beside the binary, the first place where greenroom looks for it unasked.
WORKDIR /opt/greenroom
COPY --from=build /greenroom/.onnxruntime/libonnxruntime*.so ./
COPY --from=build /greenroom/.onnxruntime/LICENSE /greenroom/.onnxruntime/ThirdPartyNotices.txt licenses/onnxruntime/
COPY LICENSE-APACHE LICENSE-MIT licenses/
COPY src/api/shadow_report/page/library/LICENSES.txt licenses/plot/
COPY --from=build /greenroom/greenroom ./
RUN ln -s /opt/greenroom/greenroom /usr/local/bin/greenroom

# By number, so that Kubernetes can see that it is not root. A folder mounted on /state must be writable for it.
USER 10001:10001
WORKDIR /state
ENV GREENROOM_STATE=/state
VOLUME ["/models", "/state"]
EXPOSE 8000 8001

# bash speaks enough HTTP for this, so the image needs no curl. Whoever changes the port changes it here too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["bash", "-c", "\
    exec 3<>/dev/tcp/127.0.0.1/8000 \
    && printf 'GET /v2/health/live HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 \
    && read -r status <&3 \
    && [[ $status == 'HTTP/1.1 200 '* ]]"]

ENTRYPOINT ["greenroom"]
CMD ["serve", "--models", "/models", "--state", "/state", "--http", "0.0.0.0:8000", "--grpc", "0.0.0.0:8001"]
