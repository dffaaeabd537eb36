//go:build !linux

package main

import "errors"

var linkTable []systemKind

func inNamespace([]string) (bool, error) { return true, errors.New("-links needs Linux") }
