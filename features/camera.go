package features

// BaseIntrinsics is the geometry of a camera's picture, whatever its lens: the size of the picture and where the
// optical axis meets it.
//
// CxOffsetPx and CyOffsetPx are the distance of the principal point from the middle of the picture, in pixels to the
// right and down. ImgHeightPx and ImgWidthPx are the size of the picture in pixels. None is negative.
//
// Stored as struct<cx_offset_px: double, cy_offset_px: double, img_height_px: int64, img_width_px: int64>.
type BaseIntrinsics struct {
	CxOffsetPx  float64 `json:"cx_offset_px" pixano:"cx_offset_px"`
	CyOffsetPx  float64 `json:"cy_offset_px" pixano:"cy_offset_px"`
	ImgHeightPx int64   `json:"img_height_px" pixano:"img_height_px"`
	ImgWidthPx  int64   `json:"img_width_px" pixano:"img_width_px"`
}

// Intrinsics is the model of a camera's lens, a polynomial that maps the angle from the optical axis to the distance
// from the principal point.
//
// C1 to C4 are the coefficients of its first to fourth power and not negative. PixelAspectRatio is the
// ratio of a pixel's sides, 1 for square pixels; any number is allowed.
//
// Stored as struct<c1: double, c2: double, c3: double, c4: double, pixel_aspect_ratio: double>.
type Intrinsics struct {
	C1               float64 `json:"c1" pixano:"c1"`
	C2               float64 `json:"c2" pixano:"c2"`
	C3               float64 `json:"c3" pixano:"c3"`
	C4               float64 `json:"c4" pixano:"c4"`
	PixelAspectRatio float64 `json:"pixel_aspect_ratio" pixano:"pixel_aspect_ratio"`
}

// Extrinsics is where a camera stands and looks.
//
// PosXM, PosYM and PosZM are its position in metres. RotZ1Deg, RotXDeg and RotZ2Deg are its rotation in degrees, about
// z, then x, then z again. None is negative in rows that the reference implementation accepts: give angles in [0, 360),
// and choose the origin accordingly.
//
// Stored as struct<pos_x_m, pos_y_m, pos_z_m, rot_x_deg, rot_z1_deg, rot_z2_deg: double>.
type Extrinsics struct {
	PosXM    float64 `json:"pos_x_m" pixano:"pos_x_m"`
	PosYM    float64 `json:"pos_y_m" pixano:"pos_y_m"`
	PosZM    float64 `json:"pos_z_m" pixano:"pos_z_m"`
	RotXDeg  float64 `json:"rot_x_deg" pixano:"rot_x_deg"`
	RotZ1Deg float64 `json:"rot_z1_deg" pixano:"rot_z1_deg"`
	RotZ2Deg float64 `json:"rot_z2_deg" pixano:"rot_z2_deg"`
}

// Validate checks that no value is negative or NaN.
func (b BaseIntrinsics) Validate() error {
	return checkNotNegative("BaseIntrinsics",
		named{"cx_offset_px", b.CxOffsetPx}, named{"cy_offset_px", b.CyOffsetPx},
		named{"img_height_px", float64(b.ImgHeightPx)}, named{"img_width_px", float64(b.ImgWidthPx)})
}

// Validate checks that C1 to C4 are neither negative nor NaN.
func (i Intrinsics) Validate() error {
	return checkNotNegative("Intrinsics", named{"c1", i.C1}, named{"c2", i.C2}, named{"c3", i.C3}, named{"c4", i.C4})
}

// Validate checks that no value is negative or NaN: the rule for rows to be written. Rows that were stored by others
// may break it, and read well.
func (e Extrinsics) Validate() error {
	return checkNotNegative("Extrinsics",
		named{"pos_x_m", e.PosXM}, named{"pos_y_m", e.PosYM}, named{"pos_z_m", e.PosZM},
		named{"rot_x_deg", e.RotXDeg}, named{"rot_z1_deg", e.RotZ1Deg}, named{"rot_z2_deg", e.RotZ2Deg})
}

// named is a number and its column.
type named struct {
	column string
	value  float64
}

func checkNotNegative(typ string, values ...named) error {
	for _, v := range values {
		if !(v.value >= 0) {
			return invalid(typ, v.column, v.value, "want at least 0")
		}
	}
	return nil
}
