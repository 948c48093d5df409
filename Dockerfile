# The gateway's image: two static binaries, the authorities to check endpoints' certificates by, and nothing else.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make image-files

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/image/ /usr/local/bin/
# A number, as Kubernetes can tell only of numbers that they are not root.
USER 65532:65532
# Traffic, and the admin port, which must not be exposed with it.
EXPOSE 8000 8001
ENTRYPOINT ["/usr/local/bin/penstock"]
CMD ["serve", "--config", "/etc/penstock/penstock.yaml"]
