package main

import "context"

func (a *app) openServer(ctx context.Context, location string) (*backend, error) {
	return nil, usagef("--store %s: servers come with the server packages", location)
}
