package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) imagesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "images",
		Short: "List the images of the store and what their channels hold",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.images(cmd.Context()) },
	}
}

func (a *app) images(ctx context.Context) error {
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	all := promotion.Images{Schema: promotion.ImagesSchema, Images: []promotion.Image{}}
	for cursor := ""; ; {
		page, err := b.ops.Images(ctx, promotion.ImagesRequest{Limit: promotion.MaxLimit, Cursor: cursor})
		if err != nil {
			return err
		}
		all.Images = append(all.Images, page.Images...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if a.json {
		return a.printJSON(all)
	}
	rows := [][]string{{"IMAGE", "CHANNELS"}}
	for _, img := range all.Images {
		var held []string
		for _, c := range slices.Sorted(maps.Keys(img.Channels)) {
			held = append(held, fmt.Sprintf("%s=%s", c, shortDigest(string(img.Channels[c]))))
		}
		rows = append(rows, []string{img.Image, strings.Join(held, " ")})
	}
	return a.printTable(rows)
}
