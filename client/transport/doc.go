// Package transport is how a device speaks to the server: gRPC over TLS, the
// Devices service of server/api. It carries bytes and maps errors to sentences;
// what the bytes say is for package client to verify. One connection may serve
// many devices of a process.
package transport
