# Two stages: build with the toolchain, run with nothing but the binary.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY rules rules
COPY benches benches
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /var/lib/mailweir --create-home --shell /usr/sbin/nologin mailweir \
 && install -d -o mailweir -g mailweir -m 0750 /run/mailweir /var/lib/mailweir
COPY --from=build /src/target/release/mailweir /usr/bin/mailweir
USER mailweir
VOLUME /var/lib/mailweir
EXPOSE 2525 9125
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["mailweir", "status", "--config", "/etc/mailweir/mailweir.toml"]
ENTRYPOINT ["mailweir"]
CMD ["serve", "--config", "/etc/mailweir/mailweir.toml"]
