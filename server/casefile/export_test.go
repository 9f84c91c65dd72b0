package casefile

// Uncompressed renders a view as a PDF whose text can be read.
func Uncompressed(v View) ([]byte, error) { return renderPDF(v, false) }

// Inside of the package, for tables.
var (
	Standing = standing
	Words    = words
	Took     = took
	Latin    = latin
	Ranges   = ranges
)
