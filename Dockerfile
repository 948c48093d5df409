# The gateway's image: two static binaries on a base that has authorities to check endpoints' certificates by, and no shell.
#
# It is reproducible. The binaries are so whatever the folder, machine or time: the same Go version gives the same bytes without an image
# (`make image-files VERSION=... && sha256sum bin/image/*`). The image is, with bases named by digest and all files given one time, as `make image`
# has it done. `make image-test` builds it twice, from nothing, and compares both.
#
# Both bases can be named by digest: --build-arg GO_IMAGE=golang:1.26.8@sha256:... --build-arg BASE_IMAGE=...
# VERSION is what the program says of itself, in `penstock version`, its metrics and its pages.
ARG GO_IMAGE=golang:1.26.8
ARG BASE_IMAGE=gcr.io/distroless/static:nonroot

# Go builds for any platform on the machine's own.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ARG TARGETOS TARGETARCH VERSION
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN GOTOOLCHAIN=local GOOS=$TARGETOS GOARCH=$TARGETARCH make image-files

FROM ${BASE_IMAGE}
COPY --from=build /src/bin/image/ /usr/local/bin/
# A number, as Kubernetes can tell only of numbers that they are not root. It is the base's nonroot.
USER 65532:65532
# Traffic, and the admin port, which must not be exposed with it.
EXPOSE 8000 8001
ENTRYPOINT ["/usr/local/bin/penstock"]
CMD ["serve", "--config", "/etc/penstock/penstock.yaml"]
