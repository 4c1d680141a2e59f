package bake

import (
	"cmp"

	"kiln/bake/template"
	"kiln/layers"
)

// compression of the layers that an image's own steps make. Those of its
// parent are as they are.
func (b *Builder) compression(recipe *template.Image) layers.Compression {
	return cmp.Or(layers.Compression(recipe.Compression), b.Compression)
}

// encoder is part of the key of every step: the layer's digest follows from it.
func (b *Builder) encoder(st *state) string {
	name, err := b.compression(st.recipe).Encoder()
	if err != nil {
		panic("bake: " + err.Error()) // a programming error: template and NewBuilder refuse others
	}
	return name
}
