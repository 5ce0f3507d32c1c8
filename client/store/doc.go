// Package store keeps what a device must not lose, in files or in memory. Both
// kinds implement client.Store. Neither knows what the bytes mean: records and
// state come in sealed.
package store
