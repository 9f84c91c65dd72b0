package casefile

import "github.com/wardmdm/ward/server/report"

// Uncompressed renders a view as a PDF whose text can be read.
func Uncompressed(v View) ([]byte, error) { return renderPDF(v, false) }

// Inside of the package, for tables.
var (
	Standing = standing
	Words    = words
	Took     = took
	Latin    = report.Latin
	Ranges   = ranges
)
