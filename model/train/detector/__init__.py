# SPDX-License-Identifier: Apache-2.0
"""A face detector of one's own: three networks of MTCNN's shapes that learn a teacher's answers.

networks.py has the networks and their files, scenes.py makes pictures to look at out of a few,
windows.py cuts what the second and third network look at, fit.py trains one after the other.
"""
