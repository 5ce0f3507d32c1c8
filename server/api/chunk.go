package api

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Chunk is a piece of a vector with its checksum. The data is not copied.
func Chunk(offset uint64, data []byte) *VectorChunk {
	return &VectorChunk{Offset: offset, Data: data, Crc32C: crc32.Checksum(data, castagnoli)}
}

// Intact says whether the data is what was sent.
func (x *VectorChunk) Intact() bool {
	return crc32.Checksum(x.GetData(), castagnoli) == x.GetCrc32C()
}
