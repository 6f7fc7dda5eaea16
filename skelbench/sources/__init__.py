"""Raw data without unpacking: folders, zips, tars, several as one."""
