# coordd, with a shell and the usual tools: jobs are commands. Build it in the
# repository's root: docker build -t coordd .
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG RELEASE=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-X main.release=$RELEASE" -o /coordd ./cmd/coordd

FROM debian:bookworm-slim
RUN useradd --system --create-home --home-dir /var/lib/coordd coordd
COPY --from=build /coordd /usr/local/bin/coordd
USER coordd
WORKDIR /var/lib/coordd
EXPOSE 7420 7421
ENTRYPOINT ["coordd"]
CMD ["--help"]
