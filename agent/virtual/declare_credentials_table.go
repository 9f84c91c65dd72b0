package virtual

// credentialDocuments says what may stand in the document that an asset of a type leads
// to. It is never changed. Source: github.com/apple/device-management,
// declarative/declarations/assets/credentials.
var credentialDocuments = map[string]map[string]keyRule{
	typeAssetACME: {
		"DirectoryURL":              {kind: str, required: true},
		"ClientIdentifier":          {kind: str, required: true},
		"KeySize":                   {kind: integer, required: true},
		"KeyType":                   {kind: str, required: true, oneOf: "RSA ECSECPrimeRandom"},
		"HardwareBound":             {kind: boolean, required: true},
		"Attest":                    {kind: boolean},
		"Subject":                   {kind: list, required: true},
		"Subject[]":                 {kind: list},
		"Subject[][]":               {kind: list},
		"Subject[][][]":             {kind: str},
		"SubjectAltName":            {kind: dict},
		"UsageFlags":                {kind: integer},
		"ExtendedKeyUsage":          {kind: list},
		"ExtendedKeyUsage[]":        {kind: str},
		"SubjectAltName.rfc822Name": {kind: str},
		"SubjectAltName.dNSName":    {kind: str},
		"SubjectAltName.uniformResourceIdentifier": {kind: str},
		"SubjectAltName.ntPrincipalName":           {kind: str},
	},
	typeAssetSCEP: {
		"URL":                       {kind: str, required: true},
		"Name":                      {kind: str},
		"Subject":                   {kind: list},
		"Subject[]":                 {kind: list},
		"Subject[][]":               {kind: list},
		"Subject[][][]":             {kind: str},
		"Challenge":                 {kind: str},
		"Keysize":                   {kind: integer},
		"Key Type":                  {kind: str, oneOf: "RSA"},
		"Key Usage":                 {kind: integer},
		"CAFingerprint":             {kind: str}, // data in base64
		"Retries":                   {kind: integer},
		"RetryDelay":                {kind: integer},
		"SubjectAltName":            {kind: dict},
		"SubjectAltName.rfc822Name": {kind: str},
		"SubjectAltName.dNSName":    {kind: str},
		"SubjectAltName.uniformResourceIdentifier": {kind: str},
		"SubjectAltName.ntPrincipalName":           {kind: str},
	},
	typeAssetIdentity: {
		"Password": {kind: str, required: true},
		"Identity": {kind: str, required: true}, // data in base64
	},
	typeAssetPassword: {
		"UserName": {kind: str, required: true},
		"Password": {kind: str},
	},
}

// documentTypes are the media types that the data of an asset may have, where it says.
// Source: Apple's schema, contenttypes of each asset's Reference.
var documentTypes = map[string][]string{
	typeAssetACME:        {"application/json"},
	typeAssetSCEP:        {"application/json"},
	typeAssetIdentity:    {"application/json"},
	typeAssetPassword:    {"application/json"},
	typeAssetCertificate: {"application/pkcs1", "application/pem"},
}
