// Package silo is the optional cross-silo mode.
package silo
