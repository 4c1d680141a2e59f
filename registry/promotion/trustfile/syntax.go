package trustfile

import (
	"kiln/registry/hclfile"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxDepth bounds how deep brackets may nest.
const maxDepth = 20

// plain are the tokens of a file that only says what it says: no operators, no
// templates, no loops, whose work could be without end. What the parser refuses
// by itself is left to it.
var plain = map[hclsyntax.TokenType]int{
	hclsyntax.TokenOBrace: 1, hclsyntax.TokenCBrace: -1, hclsyntax.TokenOBrack: 1, hclsyntax.TokenCBrack: -1,
	hclsyntax.TokenOParen: 1, hclsyntax.TokenCParen: -1,
	hclsyntax.TokenOQuote: 0, hclsyntax.TokenQuotedLit: 0, hclsyntax.TokenCQuote: 0,
	hclsyntax.TokenOHeredoc: 0, hclsyntax.TokenStringLit: 0, hclsyntax.TokenCHeredoc: 0,
	hclsyntax.TokenEqual: 0, hclsyntax.TokenComma: 0, hclsyntax.TokenIdent: 0, hclsyntax.TokenNumberLit: 0,
	hclsyntax.TokenComment: 0, hclsyntax.TokenNewline: 0, hclsyntax.TokenEOF: 0,
	hclsyntax.TokenInvalid: 0, hclsyntax.TokenBadUTF8: 0, hclsyntax.TokenQuotedNewline: 0,
	hclsyntax.TokenApostrophe: 0, hclsyntax.TokenBacktick: 0, hclsyntax.TokenSemicolon: 0, hclsyntax.TokenTabs: 0,
}

// parse reads the syntax of a file, in which file("…") may be called; false where
// it notes a problem.
func parse(ps *hclfile.Problems, src []byte, eval *hcl.EvalContext) (block, bool) {
	tokens, _ := hclsyntax.LexConfig(src, ps.File, hcl.InitialPos)
	depth := 0
	for _, token := range tokens {
		step, ok := plain[token.Type]
		if !ok {
			ps.Add(token.Range.Start.Line, "", `%q: only texts, lists and file("…") are read here`, token.Bytes)
			return block{}, false
		}
		if depth += step; depth > maxDepth {
			ps.Add(token.Range.Start.Line, "", "brackets nest more than %d deep", maxDepth)
			return block{}, false
		}
	}
	b := ps.Parse(src, eval)
	return block{b}, b != nil
}
