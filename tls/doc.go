// Package tls is the ssl module.
package tls
